"""Fine-tune a pretrained network on one's own images. The only room, with backbones/, for PyTorch.

`refine` trains; what goes in are `Samples`, what comes out is `Refined`: the network with its new
weights, and the last layer. How a batch is drawn (`plan`), shown (`views`), at which rate it is
learned from (`schedule`) and where it computes (`device`) are files of their own; `loop` is the
training, to be read from top to bottom.
"""
