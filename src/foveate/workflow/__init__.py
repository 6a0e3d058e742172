"""The verbs: train, evaluate, score, featurize, check, split, tune, compare."""
