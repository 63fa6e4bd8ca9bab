"""tpcfm: foundation models for time projection chambers."""

__version__ = "0.1.0"
