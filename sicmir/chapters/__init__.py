"""What the chapters of the book are made from; a folder for each, and what several of them share."""
