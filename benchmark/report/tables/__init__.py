"""The tables of a report, and how a table is written."""
