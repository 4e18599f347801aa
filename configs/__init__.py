"""Ready configurations, installed with the library."""
