"""Workers, one for each library that is measured. Each runs in a process of its own, most of them without ffbind at hand."""
