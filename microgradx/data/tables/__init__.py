"""Tables as people have them: files with any separator, data frames, arrays; read, and encoded.

    text_files  bytes to rows of cells      headers  are there names?     labels  which column?
    frames      pandas and polars           columns  kinds and values     images  pixels
    arrays      NPZ files                   cells    what a text means    suspicions

`reading` makes a `Table` of them, `new_rows` reads others like it, and `encoder` makes the numbers
that a network takes.
"""

from microgradx.data.tables.encoder import TableEncoder
from microgradx.data.tables.new_rows import read_new_rows
from microgradx.data.tables.reading import read_table
from microgradx.data.tables.schema import Dropped, TableSchema
from microgradx.data.tables.table import Table

__all__ = ["Dropped", "Table", "TableEncoder", "TableSchema", "read_new_rows", "read_table"]
