"""Files: trace bundles, score runs, tables of observations. Written whole or not at all."""
