"""From notebooks to the book: pages, their runs, their records, and the manual."""
