from flask_safesession import session_manager

from store.models import Item, check


def work(name):
    done = []
    for number in range(3):
        try:
            with session_manager() as db:
                if number == 1:
                    check(name)
                    continue
                db.add(Item(name=f"{name} {number}"))
            done.append(number)
        except ValueError:
            break
    return done
