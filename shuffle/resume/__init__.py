"""Sorts that can be killed and gone on with: `--resume`.

identity        which input it was
records         what stands in the journal, as JSON and as it is used
state           what a journal says when all of it has been read
keepers         who writes it while runs are built and merged
resumable_job   the job: found or begun, refused or gone on with
"""
