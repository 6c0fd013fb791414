"""Files without the person: each format's module keeps what shows the picture and leaves out the rest.

No pixel is decoded or changed.
"""
