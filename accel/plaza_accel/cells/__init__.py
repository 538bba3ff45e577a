"""Cells: sandboxed children of a replica, each running one version that nobody has vouched for.

    replica: batcher ──Runner, Family (proxy)──▶ Cell ──mailbox, socket──▶ child: family, session

Parent: `keeper` starts and watches, `cell` is one process, `proxy` what the batcher sees, `meter`
what a call costs, `quarantine` who has crashed too often. Both sides: `mailbox` and `documents`,
the wire. Child: `child` and `served`. The parent holds a cell for hostile: what it reads is copied
once, checked, and only then used.
"""
