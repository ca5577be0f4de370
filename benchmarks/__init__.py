"""What the package costs in addition to the site's own time, compared with a floor and peers."""
