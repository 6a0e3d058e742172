"""Which images there are: sources, inspection, duplicates, the split into train and test."""

from foveate.catalog.duplicates import Duplicates, find_duplicates
from foveate.catalog.findings import TINY, Findings, find_problems
from foveate.catalog.inspect import Facts, inspect, read_file
from foveate.catalog.source import Entry, Side, Source, read_source, read_test_list
from foveate.catalog.split import Split, split_as_given, split_by_image, split_by_subfolder
from foveate.catalog.table import (
    FACTS,
    Catalog,
    ImageRow,
    catalog_table,
    facts_of,
    read_catalog,
    write_catalog,
)
from foveate.catalog.workspace import FactStore, Workspace, open_workspace, user_cache

__all__ = [
    "FACTS",
    "TINY",
    "Catalog",
    "Duplicates",
    "Entry",
    "FactStore",
    "Facts",
    "Findings",
    "ImageRow",
    "Side",
    "Source",
    "Split",
    "Workspace",
    "catalog_table",
    "facts_of",
    "find_duplicates",
    "find_problems",
    "inspect",
    "open_workspace",
    "read_catalog",
    "read_file",
    "read_source",
    "read_test_list",
    "split_as_given",
    "split_by_image",
    "split_by_subfolder",
    "user_cache",
    "write_catalog",
]
