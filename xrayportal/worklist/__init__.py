"""The worklist of one person: its order and tabs, read marks, saved views, and news of done submissions."""
