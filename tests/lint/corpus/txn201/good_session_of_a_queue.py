class Batch:
    def __init__(self, channel) -> None:
        self.session = channel.create_publish_batch()

    def publish(self, message) -> None:
        self.session.publish(message)

    def finish(self) -> bool:
        try:
            self.session.flush()
        except Exception:
            self.session.discard()
            return False
        return True
