"""Tables of training runs: their reader, and surfaces of loss from which runs are drawn."""
