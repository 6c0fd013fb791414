"""A client of the X-Ray Portal's API, and the command ``xray``. Needs neither the portal nor Django.

`xray_client.client.Client` is where to begin.
"""
