"""The site that its tests look at, made once for all of them."""

from helpers.sites import cells as cells
from helpers.sites import every as every
from helpers.sites import results as results
from helpers.sites import site as site
