"""The vendors' traffic, with faults: streams that know what really happened to them."""
