"""Small models trained on candidate recipes along a ladder of sizes (torch lives here, imported lazily)."""
