"""Fine-tune a pretrained network on one's own images. The only room, with backbones/, for PyTorch.

`refinement` is the way in: a `Refiner` settles what the user left open, `gather` makes `samples` of
the rows of a catalog, and `loop.learn` trains: what goes in is a `Task`, what comes out is
`Refined`, the network with its new weights and the last layer. `loop` is the training, to be read
from top to bottom. What it calls are files of their own: which images a step learns from (`plan`),
how they are read (`batches`) and shown (`views`), what they change (`gradients`, `optimiser`), how
good it is by then (`validation`), how long it will take (`forecast`), where it computes (`device`),
and how it survives being killed (`checkpoint`). Several processes are started in `foveate.launch`.
"""
