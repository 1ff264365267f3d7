"""What is asked of the store and written into it: one module per noun. Constant texts, many rows each.

Those that change something take many rows and answer one result per row, so that the writer can put what is asked for
at the same time into one commit.
"""
