"""Commands that put rooms together on one machine; the one place that may import more than one of them."""
