"""Which images there are: sources, inspection, duplicates, the split into train and test."""

from foveate.catalog.duplicates import Duplicates, find_duplicates
from foveate.catalog.inspect import Facts, inspect
from foveate.catalog.source import Entry, Side, Source, read_source
from foveate.catalog.split import Split, split_as_given, split_by_image, split_by_subfolder
from foveate.catalog.table import Catalog, ImageRow, read_catalog, write_catalog
from foveate.catalog.workspace import FactStore, Workspace, open_workspace

__all__ = [
    "Catalog",
    "Duplicates",
    "Entry",
    "FactStore",
    "Facts",
    "ImageRow",
    "Side",
    "Source",
    "Split",
    "Workspace",
    "find_duplicates",
    "inspect",
    "open_workspace",
    "read_catalog",
    "read_source",
    "split_as_given",
    "split_by_image",
    "split_by_subfolder",
    "write_catalog",
]
