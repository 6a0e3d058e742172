"""Several processes that refine together: started, told apart, and heard once where one fails."""
