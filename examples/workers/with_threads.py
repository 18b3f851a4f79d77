"""Plain threads, with nothing that has an event loop: `pip install "notistore[sqlalchemy,redis]" psycopg`, then, beside
web.py, which creates the table:

python examples/workers/with_threads.py ada
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from shared import make_sync_inbox

from notistore import Recipient

if __name__ == "__main__":
    ada = Recipient(sys.argv[1])
    # The pool shuts down before the inbox closes, which waits until published events have been sent.
    with make_sync_inbox() as inbox, ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(inbox.send, ada, "reminder", {"number": n}, key=f"reminder:{n}") for n in range(1000)]
        for each in sent:
            each.result()  # raises what its send raised
