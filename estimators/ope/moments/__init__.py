"""Moments of logs: of arrays, tables, sparse matrices, tensors on a device, and files larger than memory."""
