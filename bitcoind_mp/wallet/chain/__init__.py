"""Following the node: from block to block, and scanning again."""
