"""A small drift chamber whose files are blocks of text: registered with tpcfm by entry points."""

from pathlib import Path

DETECTOR = Path(__file__).with_name("detector.yaml")
