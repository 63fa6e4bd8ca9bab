"""Raw files to event tables: readers, checks, splits, statistics, manifest, fetch."""
