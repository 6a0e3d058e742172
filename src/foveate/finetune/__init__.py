"""Fine-tune a pretrained network on one's own images. The only room, with backbones/, for PyTorch.

`loop.learn` trains; what goes in is a `Task`, what comes out is `Refined`: the network with its
new weights, and the last layer. `loop` is the training, to be read from top to bottom. What it
calls are files of their own: which images a step learns from (`plan`), how they are read
(`batches`) and shown (`views`), what they change (`gradients`, `optimiser`, `schedule`), how good
it is by then (`judging`), how long it will take (`forecast`), where it computes (`device`), as one
of how many (`position`), and how it survives being killed (`checkpoint`). Before it, `choices`
settles what the user left open, and `gather` makes `samples` of the rows of a catalog.
"""
