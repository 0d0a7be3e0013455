"""How the command line shows what it has read: displays, tables, numbers, the book."""
