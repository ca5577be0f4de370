"""What the package costs beside the site's own time, measured against a floor and its peers."""
