"""Which images there are: sources, inspection, duplicates, the split into train and test."""

from foveate.catalog.blocks import groups_of, has_places, split_by_block
from foveate.catalog.duplicates import Duplicates, find_duplicates
from foveate.catalog.findings import TINY, Findings, find_problems
from foveate.catalog.inspect import Facts, inspect, read_file
from foveate.catalog.source import Entry, Location, Side, Source, read_source, read_test_list
from foveate.catalog.split import Blocks, Split, split_as_given, split_by_image, split_by_subfolder
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
    "Blocks",
    "Catalog",
    "Duplicates",
    "Entry",
    "FactStore",
    "Facts",
    "Findings",
    "ImageRow",
    "Location",
    "Side",
    "Source",
    "Split",
    "Workspace",
    "catalog_table",
    "facts_of",
    "find_duplicates",
    "find_problems",
    "groups_of",
    "has_places",
    "inspect",
    "open_workspace",
    "read_catalog",
    "read_file",
    "read_source",
    "read_test_list",
    "split_as_given",
    "split_by_block",
    "split_by_image",
    "split_by_subfolder",
    "user_cache",
    "write_catalog",
]
