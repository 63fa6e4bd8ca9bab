"""Writing labels of points in the layout of the raw file that they belong to: the counterpart of the readers."""
