"""The paper's published fits and savings, from its figures' data (arXiv 2509.21013), beside their nulls."""
