"""The parameters of a network from input to output, in a handful of groups.

Fine-tuning gives each group a learning rate of its own: what is close to the input changes least.
"""

from __future__ import annotations

from itertools import chain, pairwise

from timm.models import group_parameters
from torch import nn

FEWEST, MOST = 5, 12
HEAD_SHARE = 0.02
"""The last stage counts as what `head` trains only if it has so large a share of the parameters."""

TRUNK_SHARE = 0.9
"""A part with so large a share is not a stage, but holds the stages."""

Group = list[nn.Parameter]


def stages(module: nn.Module) -> list[Group]:
    """Every parameter once, in 5 to 12 groups from input to output.

    timm says of its networks which parameters belong together; others are taken apart by their
    layers. A network with fewer layers than that gives fewer groups.
    """
    return _merge(_matched(module, coarse=False) or _taken_apart(module), MOST)


def head_parameters(module: nn.Module) -> Group:
    """What depth `head` trains besides the new last layer.

    The fully connected layers of AlexNet and VGG (fc6 and fc7); of other networks the last stage.
    """
    dense = getattr(module, "pre_logits", None)  # timm's VGG
    dense = dense if isinstance(dense, nn.Module) else getattr(module, "classifier", None)
    if isinstance(dense, nn.Module) and (parameters := list(dense.parameters())):
        return parameters
    every = _size(list(module.parameters()))
    groups = _matched(module, coarse=True)
    return _tail(module, every) if groups is None else _last_of(groups, every)


def _last_of(groups: list[Group], every: int) -> Group:
    head: Group = []
    for group in reversed(groups):
        head = group + head
        if _size(head) >= HEAD_SHARE * every:
            break
    return head


def _tail(module: nn.Module, every: int) -> Group:
    """The last of a network's parts; of one that is nearly the whole network, its last part."""
    parts = [child for child in module.children() if any(True for _ in child.parameters())]
    head: Group = []
    for part in reversed(parts):
        group = list(part.parameters())
        if _size(group) > TRUNK_SHARE * every and len(list(part.children())) > 0:
            return _tail(part, every) + head
        head = group + head
        if _size(head) >= HEAD_SHARE * every:
            break
    return head or list(module.parameters())


def _matched(module: nn.Module, *, coarse: bool) -> list[Group] | None:
    matcher = getattr(module, "group_matcher", None)
    if matcher is None:
        return None
    try:
        layers = group_parameters(module, matcher(coarse=coarse), return_values=True)
    except Exception:  # an odd network's matcher may not fit its own names
        return None
    groups = [list(layers[layer]) for layer in sorted(layers)]
    complete = sum(map(len, groups)) == len(list(module.parameters()))
    return groups if complete and (coarse or len(groups) >= FEWEST) else None


def _taken_apart(module: nn.Module) -> list[Group]:
    """Split the largest part into its parts until there are enough."""
    pieces: list[tuple[nn.Module | None, Group]] = [(module, list(module.parameters()))]
    while len(pieces) < FEWEST:
        sizes = [_size(group) if part is not None else -1 for part, group in pieces]
        largest = max(range(len(pieces)), key=sizes.__getitem__)
        part, group = pieces[largest]
        if part is None:
            break
        own: list[tuple[nn.Module | None, Group]] = [
            (child, parameters)
            for child in part.children()
            if (parameters := list(child.parameters()))
        ]
        inner = {id(parameter) for _, parameters in own for parameter in parameters}
        rest = [parameter for parameter in group if id(parameter) not in inner]
        pieces[largest : largest + 1] = ([(None, rest)] if rest else []) + own
    return [group for _, group in pieces]


def _merge(groups: list[Group], most: int) -> list[Group]:
    """Join neighbours so that at most so many groups are left, each of about as many as another."""
    if len(groups) <= most:
        return groups
    ends = [round(len(groups) * part / most) for part in range(most + 1)]
    return [list(chain.from_iterable(groups[a:b])) for a, b in pairwise(ends)]


def _size(group: Group) -> int:
    return sum(parameter.numel() for parameter in group)
