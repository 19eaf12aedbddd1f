"""What the C kernels are called with, as numbers: the twin of firmware/kernels. No text, no files.

calls.py and products.py turn steps into calls, count.py counts what they take on the chip; codegen/model_c.py
prints them and budget.py adds them up, so that the two cannot disagree.
"""
