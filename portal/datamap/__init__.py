"""Room of the one map: reads the notes on the columns. Domain, pages and commands ask here what is held."""
