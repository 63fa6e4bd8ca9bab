"""Reader of tables in common formats (Parquet, Feather, CSV, npz, HDF5, ROOT) by a mapping in the detector file."""
