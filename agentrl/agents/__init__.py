"""Who plays: agents by name, for evaluations and for tables during training."""
