"""The recipe of ``training/configs/student.toml`` in PyTorch: all networks of a cross-validation at once on
one GPU.

Minutes instead of hours. Nothing else in the project needs PyTorch, so no list of requirements names it. What
comes back is one file that ``python -m training adopt`` takes in.
"""
