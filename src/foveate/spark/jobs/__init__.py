"""Jobs over sets of any size: planned in shards, run, committed, gone on from after a kill."""
