"""Questions asked of stored numbers, score runs or any CSV. No torch."""
