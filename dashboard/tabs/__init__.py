"""The tabs of a study page, one file each; a tab is given what it shows or asks the hub itself."""
