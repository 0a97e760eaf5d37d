/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reading and writing files on behalf of user space: see fs/dio_bounce.c.
 */
#ifndef _LINUX_DIO_BOUNCE_H
#define _LINUX_DIO_BOUNCE_H

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/uio.h>

#ifdef CONFIG_PAGELESS

ssize_t dio_bounce_read_iter(struct kiocb *iocb, struct iov_iter *iter);
ssize_t dio_bounce_write_iter(struct kiocb *iocb, struct iov_iter *iter);

/* Can there be memory without struct page in @iter, and does it matter? */
static inline bool dio_may_bounce(const struct kiocb *iocb, const struct iov_iter *iter)
{
	return iocb->ki_flags & IOCB_DIRECT && user_backed_iter(iter) && current->mm &&
	       unlikely(mm_flags_test(MMF_PAGELESS, current->mm));
}

#else

static inline bool dio_may_bounce(const struct kiocb *iocb, const struct iov_iter *iter)
{
	return false;
}

static inline ssize_t dio_bounce_read_iter(struct kiocb *iocb, struct iov_iter *iter)
{
	return -EFAULT;
}

static inline ssize_t dio_bounce_write_iter(struct kiocb *iocb, struct iov_iter *iter)
{
	return -EFAULT;
}

#endif /* CONFIG_PAGELESS */

/* ->read_iter() for whoever reads into memory of user space */
static inline ssize_t file_read_iter(struct kiocb *iocb, struct iov_iter *iter)
{
	if (dio_may_bounce(iocb, iter))
		return dio_bounce_read_iter(iocb, iter);
	return iocb->ki_filp->f_op->read_iter(iocb, iter);
}

/* ->write_iter() for whoever writes from memory of user space */
static inline ssize_t file_write_iter(struct kiocb *iocb, struct iov_iter *iter)
{
	if (dio_may_bounce(iocb, iter))
		return dio_bounce_write_iter(iocb, iter);
	return iocb->ki_filp->f_op->write_iter(iocb, iter);
}

#endif /* _LINUX_DIO_BOUNCE_H */
