"""The child that writes copies, with less memory than its reader of text needs."""

from __future__ import annotations

from site_node.imaging import copy_child
from site_node.imaging.deid import order

if __name__ == "__main__":
    order.READER_MEMORY = -(200 << 20)
    copy_child.main()
