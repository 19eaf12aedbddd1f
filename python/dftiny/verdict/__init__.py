"""The verdict on a photograph from the int8 outputs of its tiles: real, fake or undecided, and when to stop looking.

model.py is what a model ships of it (integers), running.py the numpy twin of firmware/src/verdict.c, fit.py makes the
integers of validation data, novelty.py says where a photograph is unlike the training data. Called by codegen, bundle,
detect and release.
"""
