import json
import os

import psycopg

user = "u_42"
with psycopg.connect(os.environ["DATABASE_URL"]) as conn:
    EXAMPLE
