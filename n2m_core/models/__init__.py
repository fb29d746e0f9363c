"""Networks: one paper, one file; tensors in, tensors out."""
