"""A cluster and its session: Java, configuration, packing, what it says when it fails."""
